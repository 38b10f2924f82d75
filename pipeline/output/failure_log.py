"""Records of failed fragments in an output folder: `_manifest/failed/PART.json`."""

from dataclasses import dataclass

from pipeline.failures import FragmentFailure
from pipeline.output.json_records import parse_record, record_json
from pipeline.output.output_folder import FAILED, OutputFolder
from pipeline.storage.threads import map_in_threads


@dataclass(frozen=True)
class FailureLog:
    """Records of failed fragments in one output folder; stateless."""

    folder: OutputFolder

    def record(self, failure: FragmentFailure) -> None:
        """Keep a failure, in place of an earlier one of the same fragment. Raises OutputError."""
        self.folder.put(self._path_of(failure.part_path), record_json(failure))

    def forget(self, part_path: str) -> None:
        """Delete the record of a fragment, if there is one."""
        self.folder.delete(self._path_of(part_path))

    def failures(self) -> dict[str, FragmentFailure]:
        """The recorded failures by part path; damaged records are ignored."""
        paths = sorted(path for path, _ in self.folder.list_files(FAILED))
        failures = map_in_threads(self._read, paths)
        return {failure.part_path: failure for failure in failures if failure is not None}

    def _path_of(self, part_path: str) -> str:
        return f"{FAILED}/{part_path}.json"

    def _read(self, path: str) -> FragmentFailure | None:
        failure = parse_record(FragmentFailure, self.folder.read(path))
        # A part is deleted by the path that its record says, so that has to be where the record is.
        is_in_place = failure is not None and self._path_of(failure.part_path) == path
        return failure if is_in_place else None
