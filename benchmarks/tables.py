"""Writes the tables of README.md from the JSON files that the measurements leave."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tables() -> dict[str, str]:
    """Return each table by its name in README.md."""
    cold, warm, build = (
        json.loads((HERE / f"{name}.json").read_text("utf-8")) for name in ("cold_start", "warm_request", "build_time")
    )
    rows = [
        "| | init ms | first request ms | sum ms | later requests ms | memory MiB | zipped MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, of in cold["medians"].items():
        sum_, size = of["init+first"], cold["zipped MiB"][name]
        times = f"{of['init']:.0f} | {of['first']:.1f} | {sum_:.0f} | {of['warm']:.2f}"
        rows.append(f"| {name} | {times} | {of['memory']:.0f} | {size} |")
    rows += ["", "| this project, init and first request | ratio (quartiles) |", "|---|---|"]
    for name, (middle, low, high) in cold["ratios"].items():
        what, _, against = name.partition(" / ")
        rows.append(f"| {'first request alone, ' if what == 'first' else ''}to {against} | {middle} ({low}-{high}) |")
    machine = cold["machine"]
    rows += ["", f"{machine['runtime']}, {machine['packages']}, {machine['emulator']}, {machine['processor']}."]
    warm_rows = ["| one warm request in process | microseconds | this project's ratio to it |", "|---|---|---|"]
    for name, value in warm["median microseconds"].items():
        warm_rows.append(f"| {name} | {value:.0f} | {warm['ratios'].get(name, ['1'])[0]} |")
    build_rows = ["| the layer, caches warm | seconds | ratio to pip |", "|---|---|---|"]
    for name, value in build["median seconds"].items():
        build_rows.append(f"| {name} | {value:.2f} | {build['ratios'][name][0]} |")
    return {"cold start": "\n".join(rows), "warm request": "\n".join(warm_rows), "build time": "\n".join(build_rows)}


def written(text: str) -> str:
    """Return README.md with the tables in their places."""
    for name, table in tables().items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\1\n{table}\n\n\2", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = HERE / "README.md"
    readme.write_text(written(readme.read_text("utf-8")), encoding="utf-8")
