"""Generate the vault's protobuf and gRPC stubs from `vault.proto`.

Run `python tools/generate_stubs.py` after changing the proto; a test fails while the committed
stubs differ from what this writes.
"""

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

RPC_DIR = Path(__file__).resolve().parent.parent / "common" / "cordon_common" / "rpc"
STUBS = ("vault_pb2.py", "vault_pb2.pyi", "vault_pb2_grpc.py")
_RELATIVE_IMPORT = re.compile(r"^import (\w+_pb2) as ", flags=re.MULTILINE)


def generate(output_dir: Path) -> None:
    """Write the stubs of `vault.proto` into `output_dir`; equal input gives equal bytes."""
    include = Path(grpc_tools.__file__).parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={RPC_DIR}",
            f"--proto_path={include}",
            f"--python_out={output_dir}",
            f"--pyi_out={output_dir}",
            f"--grpc_python_out={output_dir}",
            "vault.proto",
        ]
    )
    if status != 0:
        message = f"protoc failed with status {status}"
        raise RuntimeError(message)
    for name in STUBS:
        stub = output_dir / name
        stub.write_text(
            _RELATIVE_IMPORT.sub(r"from cordon_common.rpc import \1 as ", stub.read_text())
        )


def main() -> int:
    """Regenerate the committed stubs in place."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for name in STUBS:
            (RPC_DIR / name).write_bytes((Path(folder) / name).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
