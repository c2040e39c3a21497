"""Write src/scanprior/privacy/ps315.json and safe_private.json from PS3.15's Tables E.1-1 and E.3.10-1:
python benchmarks/privacy/ps315_table.py TABLE.json CID7050.json SAFE_PRIVATE.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOM = Path(__file__).parents[2] / "src/scanprior/privacy"
TARGET = ROOM / "ps315.json"


def main(table: Path, cid: Path, private: Path) -> None:
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
    safe = json.loads(private.read_text())
    lines = [
        json.dumps([tag.strip("()").replace(",", "").upper().replace("XX", ""), *rest[:3]])
        for tag, *rest in safe["rows"]
    ]
    note = f"Creator, VR and VM of Table E.3.10-1: {safe['acknowledgement']}. dicom.nema.org"
    head = json.dumps({"edition": safe["edition"], "acknowledgement": note}, indent=1)[:-2]
    (ROOM / "safe_private.json").write_text(head + ',\n "rows": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
