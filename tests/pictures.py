"""Records the questions at a terminal, and draws its last rows: `make pictures` writes docs/questions.svg."""

import io
import json
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tests.machine import BIN, ROOT, clean_environment, with_node
from tests.terminal import Terminal

PICTURE = ROOT / "docs" / "questions.svg"
COLUMNS, ROWS = 100, 31
# At each question Enter is pressed, except for a table.
TYPED = {"storage": "2"}
# Without the fonts of another server.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def recorded(folder: Path) -> str:
    """Return what a terminal shows while a project is created in a folder, with its colours."""
    settings = {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "UV_NO_PROGRESS": "1"}
    environment = clean_environment(folder / "home", BIN, with_node(folder / "bin"), **settings)
    terminal = Terminal([BIN / "cookiecutter", ROOT], folder, environment)
    context = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    for question in (name for name in context if not name.startswith("_")):
        default = {True: "y", False: "n"}.get(context[question], context[question])
        terminal.type(TYPED.get(question, "") + "\n", after="orders-api): " if "{" in default else f"({default}): ")
    assert terminal.end() == 0, terminal.shown
    # How long uv takes, and the list of what it installs, differ from one machine to the next.
    return re.sub(r"^(?:\x1b\[\d+m)*(?:Resolved|Prepared|Installed| \+).*\n", "", terminal.coloured, flags=re.MULTILINE)


def drawn(recording: str) -> str:
    """Return the picture of the last rows of a recording."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    lines = Text.from_ansi(recording.rstrip()).wrap(console, COLUMNS)
    for line in lines[-ROWS:]:
        console.print(line)
    picture = console.export_svg(
        title="cookiecutter-fastapi-lambda", theme=SVG_EXPORT_THEME, code_format=FORMAT, unique_id="questions"
    )
    return "\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(drawn(recorded(Path(folder))), encoding="utf-8", newline="\n")
    print(f"Wrote {PICTURE.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
