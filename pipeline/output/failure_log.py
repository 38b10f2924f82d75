"""Records of failed fragments in an output folder: `_manifest/failed/PART.json`, for this run and the next one."""

import json
from dataclasses import asdict, dataclass

from pipeline.failures import FragmentFailure
from pipeline.output.output_folder import FAILED, OutputFolder
from pipeline.storage.threads import map_in_threads


@dataclass(frozen=True)
class FailureLog:
    """Records of failed fragments in one output folder. Holds no state of its own."""

    folder: OutputFolder

    def record(self, failure: FragmentFailure) -> None:
        """Keep a failure, in place of an earlier one of the same fragment. Raises OutputError."""
        text = json.dumps(asdict(failure), indent=1, ensure_ascii=False) + "\n"
        self.folder.put(self._relative_path(failure.part_path), text.encode())

    def forget(self, part_path: str) -> None:
        """Remove the record of a fragment that is done by now, if there is one."""
        self.folder.delete(self._relative_path(part_path))

    def failures(self) -> dict[str, FragmentFailure]:
        """Failures of earlier runs by part path; records that are damaged do not count."""
        paths = sorted(path for path, _ in self.folder.list_files(FAILED))
        failures = map_in_threads(self._read, paths)
        return {failure.part_path: failure for failure in failures if failure is not None}

    def _relative_path(self, part_path: str) -> str:
        return f"{FAILED}/{part_path}.json"

    def _read(self, path: str) -> FragmentFailure | None:
        text = self.folder.read(path)
        try:
            return FragmentFailure(**json.loads(text or b""))
        except (ValueError, TypeError):
            return None
