"""Writes the tables of README.md from the JSON files that the measurements leave."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What is shown of the realistic application, with how many decimals.
REALISTIC = {
    "init": ("init ms", 0),
    "first": ("first request ms", 1),
    "init+first": ("init and first request ms", 0),
    "warm": ("later requests ms", 2),
    "warm request": ("a warm request in process, microseconds", 0),
    "memory": ("memory MiB", 0),
    "zipped MiB": ("zipped MiB", 2),
    "unzipped MiB": ("unzipped MiB", 2),
}


def tables() -> dict[str, str]:
    """Return each table by its name in README.md."""
    names = ("cold_start", "warm_request", "build_time", "realistic", "state")
    cold, warm, build, realistic, state = (json.loads((HERE / f"{name}.json").read_text("utf-8")) for name in names)
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
    ours, theirs = realistic["medians"].values()
    realistic_rows = [f"| | {' | '.join(realistic['medians'])} | ratio (quartiles) |", "|---|---|---|---|"]
    for of, (name, digits) in REALISTIC.items():
        ratio, *quartiles = realistic["ratios"].get(of, [round(ours[of] / theirs[of], 2)])
        spread = f" ({quartiles[0]}-{quartiles[1]})" if quartiles else ""
        realistic_rows.append(f"| {name} | {ours[of]:.{digits}f} | {theirs[of]:.{digits}f} | {ratio}{spread} |")
    state_rows = ["| | init ms | first request or batch ms | later ones ms | memory MiB |", "|---|---|---|---|---|"]
    for name, of in state["medians"].items():
        state_rows.append(f"| {name} | {of['init']:.0f} | {of['first']:.0f} | {of['warm']:.1f} | {of['memory']:.0f} |")
    state_rows += ["", "| init | ratio (quartiles) |", "|---|---|"]
    state_rows += [f"| {name} | {middle} ({low}-{high}) |" for name, (middle, low, high) in state["ratios"].items()]
    every = {"cold start": rows, "warm request": warm_rows, "build time": build_rows, "realistic": realistic_rows}
    every["state"] = state_rows
    return {name: "\n".join(lines) for name, lines in every.items()}


def written(text: str) -> str:
    """Return README.md with the tables in their places."""
    for name, table in tables().items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\1\n{table}\n\n\2", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = HERE / "README.md"
    readme.write_text(written(readme.read_text("utf-8")), encoding="utf-8")
