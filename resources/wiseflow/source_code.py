"""The source code that names an exam on an institution's flows in WISEflow (contract 4.3)."""

import unicodedata

from casebridge.exams.exam_key import ExamKey
from casebridge.exams.ports import ExamPartMissingError
from casebridge.institutions.source_code_template import KEY_COLUMNS, SourceCodeTemplate


def source_code(
    template: SourceCodeTemplate, exam: ExamKey, *, vurderingsordning: str | None = None, tid: str | None = None
) -> str:
    """The source code of `exam`.

    Raises `ExamPartMissingError` `fs.source_code_part_missing` if FS did not send a field that the template needs.
    """
    sent = {"vurderingsordning": vurderingsordning, "tid": tid}
    missing = sorted(name for name in template.placeholders if name in sent and not (sent[name] or "").strip())
    if missing:
        raise ExamPartMissingError(
            "fs.source_code_part_missing",
            f"FS did not send {' and '.join(missing)}, of which the institution's source codes are built.",
            "Have FS send it, or change wiseflow.sourceCode of the institution in configDB.orgs; then replay the message.",
            system="FS",
        )
    columns = dict(zip(KEY_COLUMNS, exam.parts, strict=True))
    parts = columns | {name: (value or "").strip() for name, value in sent.items()}
    return unicodedata.normalize("NFC", template.format_map(parts))
