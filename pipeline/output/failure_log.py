"""Records of failed fragments in an output folder: `_manifest/failed/PART.json`."""

from dataclasses import asdict, dataclass

from pipeline.failures import FragmentFailure
from pipeline.output.json_records import decode_record, encode_json
from pipeline.output.output_folder import FAILED, OutputFolder
from pipeline.storage.threads import map_in_threads


@dataclass(frozen=True)
class FailureLog:
    """Records of failed fragments in one output folder; stateless."""

    folder: OutputFolder

    def record(self, failure: FragmentFailure) -> None:
        """Record a failure, replacing an earlier one of the same fragment. Raises OutputError."""
        self.folder.put(self._path_of(failure.part_path), encode_json(asdict(failure)))

    def forget(self, part_path: str) -> None:
        """Delete the record of a fragment, if there is one."""
        self.folder.delete(self._path_of(part_path))

    def failures(self) -> dict[str, FragmentFailure]:
        """The recorded failures by part path; damaged records are ignored."""
        paths = sorted(path for path, _ in self.folder.list_files(FAILED))
        failures = (decode_record(FragmentFailure, data) for data in map_in_threads(self.folder.read, paths))
        return {failure.part_path: failure for failure in failures if failure is not None}

    def _path_of(self, part_path: str) -> str:
        return f"{FAILED}/{part_path}.json"
