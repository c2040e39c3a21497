"""Write src/scanprior/privacy/ps315.json from PS3.15 Table E.1-1: python benchmarks/privacy/ps315_table.py
TABLE.json CID7050.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = Path(__file__).parents[2] / "src/scanprior/privacy/ps315.json"


def main(table: Path, cid: Path) -> None:
    """Keep of each row the tag, the basic action and the options' actions; one row per line, so that editions diff
    well."""
    source = json.loads(table.read_text())
    codes = {row["value"]: row["meaning"] for row in json.loads(cid.read_text())["rows"]}
    head = {
        "edition": source["edition"],
        "acknowledgement": f"Tag, action and options of Table E.1-1: {source['acknowledgement']}. dicom.nema.org",
        "sha256_part15_xml": source["sha256_part15_xml"],
        "options": {name: [code, codes[code]] for name, code in source["option_to_cid7050"].items()},
    }
    rows = []
    for row in source["rows"]:
        tag = row["tag"].split(" ")[0].strip("()").replace(",", "")
        rows.append(json.dumps([tag, row["basic"], row["options"]] if row["options"] else [tag, row["basic"]]))
    text = json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + ",\n".join(rows) + "\n]}\n"
    json.loads(text)
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
