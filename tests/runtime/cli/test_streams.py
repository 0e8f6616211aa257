import os
import subprocess
import sys


def test_the_output_of_c_libraries_is_suppressed() -> None:
    code = (
        "import os, sys\n"
        "from nsfwscan.cli.streams import silent_libraries\n"
        "with silent_libraries():\n"
        "    os.write(2, b'C says\\n'); print('Python says', file=sys.stderr)\n"
        "os.write(2, b'C is back\\n'); print('so is Python', file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stderr == "Python says\nC is back\nso is Python\n"
