"""Write ps315.json, safe_private.json and structured.json of src/scanprior/privacy from PS3.15's Tables E.1-1, E.3.10-1, E.3.4-1:
python benchmarks/privacy/ps315_table.py TABLE.json CID7050.json SAFE_PRIVATE.json STRUCTURED_CONTENT.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOM = Path(__file__).parents[2] / "src/scanprior/privacy"
TARGET = ROOM / "ps315.json"
# Columns of Table E.3.4-1 by the names of Table E.1-1's options.
STRUCTURED = {
    "Rtn. UIDs Opt.": "retain_uids",
    "Rtn. Dev. Id. Opt.": "retain_device_identity",
    "Rtn. Inst. Id. Opt.": "retain_institution_identity",
    "Rtn. Pat. Chars. Opt.": "retain_patient_characteristics",
    "Rtn. Long. Full Dates Opt.": "retain_long_full_dates",
    "Rtn. Long. Modif. Dates Opt.": "retain_long_modified_dates",
    "Clean Desc. Opt.": "clean_descriptors",
}


def main(table: Path, cid: Path, private: Path, structured: Path) -> None:
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
    content = json.loads(structured.read_text())
    lines = [json.dumps(content_row(dict(zip(content["columns"], row, strict=True)))) for row in content["rows"]]
    note = f"Concept, value type, action and options of Table E.3.4-1: {content['acknowledgement']}. dicom.nema.org"
    head = json.dumps({"edition": content["edition"], "acknowledgement": note}, indent=1)[:-2]
    (ROOM / "structured.json").write_text(head + ',\n "rows": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def content_row(cells: dict[str, str]) -> list[object]:
    """[code, scheme, value type, basic action] and the options' actions, if any."""
    options = {name: cells[column] for column, name in STRUCTURED.items() if cells[column]}
    row: list[object] = [
        cells[name] for name in ("Code Value", "Coding Scheme Designator", "Value Type", "Basic Prof.")
    ]
    return [*row, options] if options else row


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
