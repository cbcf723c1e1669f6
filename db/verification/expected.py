"""The expected state of a database, from the names in the reference documents and the files of sql/.

The files are read as text, statement by statement, in the plain style in which this repository writes SQL. So a new
table, policy, grant, index or function is expected from the moment its file is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from db.migrations import SQL_FOLDER, SqlFile, migration_files, repeatable_files

# The tables of the reference documents with the columns they name, as far as those are kept (docs/decisions/0001).
DOCUMENTS: dict[str, str] = {
    "profiles": "id email preferences created_at updated_at",
    "user_sessions": "id user_id created_at",
    "products": "id name price_minor currency category_id brand_id retailer_id affiliate_url is_active",
    "categories": "id name parent_id is_active",
    "brands": "id name is_active",
    "retailers": "id name affiliate_network commission_rate is_active",
    "swipes": "id user_id product_id session_id direction created_at",
    "recommendations": "id user_id product_id score created_at",
    "gift_links": "id user_id product_id created_at",
    "analytics_events": "id user_id session_id",
    "affiliate_clicks": (
        "id user_id product_id session_id source_page affiliate_network affiliate_url click_timestamp commission_rate"
        " expected_commission_minor actual_commission_minor"
    ),
    "system_logs": "id created_at",
    "user_preferences": (
        "user_id category_preferences brand_preferences style_preferences total_swipes right_swipes created_at"
        " updated_at"
    ),
    "session_analytics": "session_id user_id landing_page device_type",
    "product_views": "id user_id product_id session_id view_timestamp",
    "recommendation_feedback": "id user_id recommendation_id product_id created_at",
    "personality_profiles": (
        "id user_id primary_type secondary_types personality_scores confidence_level quiz_responses assessment_method"
        " total_questions_answered feature_vector clustering_segment version created_at updated_at last_assessment_at"
    ),
    "personality_gift_mappings": (
        "id personality_type recommendation_weight confidence_score evidence_strength occasion_relevance"
        " price_range_modifier algorithm_version created_at updated_at"
    ),
    "personality_assessment_history": (
        "id user_id assessment_data personality_scores primary_type assessment_trigger questions_answered"
        " completion_time_seconds assessment_quality_score user_swipes_count user_purchases_count"
        " behavioral_consistency assessment_timestamp created_at"
    ),
    "personality_recommendations": (
        "id user_id product_id personality_profile_id personality_match_score category_alignment_score"
        " behavioral_prediction combined_score recommendation_reasons personality_factors confidence_level is_shown"
        " is_swiped swipe_direction is_purchased recommendation_context generated_at shown_at interacted_at"
        " algorithm_version created_at updated_at"
    ),
}
# Where a column of the documents has another name or type here: docs/decisions/0001-data-model.md says why.
RENAMED: dict[str, str] = {
    "affiliate_clicks.actual_commission": "affiliate_clicks.actual_commission_minor",
    "affiliate_clicks.expected_commission": "affiliate_clicks.expected_commission_minor",
    "products.price": "products.price_minor",
    "swipe_interactions": "swipes",
    "swipe_interactions.preference_strength": "swipes.preference_strength",
}
DOCUMENT_FUNCTIONS = ("update_updated_at_column", "get_user_analytics_summary", "calculate_personality_product_match")
# The documents count 27 tables and 45 indexes.
LEAST_TABLES, LEAST_INDEXES = 27, 45

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = r"((?:public|private|auth|jobs)\.\w+)"
_POLICY = re.compile(
    rf"create\s+policy\s+(\w+)\s+on\s+{_NAME}\s*(?:as\s+(permissive|restrictive)\s+)?(?:for\s+(\w+)\s+)?to\s+([\w,\s]+?)"
    r"\s+(?:using|with)\b"
)
_GRANT = re.compile(
    rf"^grant\s+(.+?)\s+on\s+(?:table\s+)?({_NAME[1:-1]}(?:\s*,\s*{_NAME[1:-1]})*)\s+to\s+(.+)$", re.DOTALL
)
_VERB = re.compile(r"(select|insert|update|delete)\s*(?:\(([^)]*)\))?")
_CALL = re.compile(r"grant\s+execute\s+on\s+function\s+(.+)\s+to\s+([\w,\s]+)$", re.DOTALL)
_TRIGGER = re.compile(rf"create\s+(?:or\s+replace\s+)?(?:constraint\s+)?trigger\s+(\w+)\s.*?\son\s+{_NAME}", re.DOTALL)
_INDEX = re.compile(
    rf"create\s+(?:unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(\w+)\s+on\s+(?:only\s+)?{_NAME}"
)
_TABLE = re.compile(rf"(create|alter)\s+table\s+(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?{_NAME}")
_DROP = re.compile(
    rf"drop\s+(table|index|trigger)\s+(?:concurrently\s+)?(?:if\s+exists\s+)?([\w.]+)(?:\s+on\s+{_NAME})?"
)
_FUNCTION = re.compile(rf"create\s+(?:or\s+replace\s+)?function\s+{_NAME}\s*\(")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy without its conditions."""

    verb: str
    roles: frozenset[str]
    is_permissive: bool


@dataclass
class Expected:
    """Names are `schema.table`, and `schema.table.name` of an object of a table."""

    schemas: list[str]
    tables: set[str] = field(default_factory=set)
    constraints: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)
    triggers: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    grants: set[tuple[str, str, str, str | None]] = field(default_factory=set)
    """(role, table, verb, column); column None: all of them, those to come too."""
    callers: set[tuple[str, str]] = field(default_factory=set)
    """(role, function)"""
    _indexed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, schemas: list[str], folder: Path = SQL_FOLDER) -> Expected:
        """Of the files of this code. auth is left out where it is not ours."""
        expected = cls(schemas, {"private.applied_files"}, {"private.applied_files.applied_files_pkey"})
        for file in (*migration_files(folder), *repeatable_files(folder)):
            for statement in _statements(file):
                expected._add(statement)
        return expected

    def _is_ours(self, name: str) -> bool:
        return name.partition(".")[0] in self.schemas

    def _add(self, statement: str) -> None:
        if match := _TABLE.search(statement):
            self._add_table(statement, match[1], match[2])
        for name, table in _INDEX.findall(statement):
            if self._is_ours(table):
                index = f"{table.partition('.')[0]}.{name}"
                self.indexes.add(index)
                self._indexed[index] = table
        for kind, name, table in _DROP.findall(statement):
            self._drop(kind, name, table)
        for name, table in _TRIGGER.findall(statement):
            self.triggers.add(f"{table}.{name}")
        self.functions |= {name for name in _FUNCTION.findall(statement) if self._is_ours(name)}
        for name, table, kind, verb, roles in _POLICY.findall(statement):
            whom = frozenset(_words(roles))
            self.policies[table, name] = Policy((verb or "all").upper(), whom, kind != "restrictive")
        if match := _CALL.search(statement):
            names = re.findall(rf"{_NAME}\s*\(", match[1])
            self.callers |= {(role, name) for name in names for role in _words(match[2]) if self._is_ours(name)}
        elif match := _GRANT.match(statement):
            self._add_grants(match[1], _words(match[2]), _words(match[3]))

    def _add_table(self, statement: str, verb: str, table: str) -> None:
        if not self._is_ours(table):
            return
        if verb == "create":
            self.tables.add(table)
        renamed = re.findall(r"rename\s+constraint\s+(\w+)\s+to\s+(\w+)", statement)
        if renamed:
            self.constraints -= {f"{table}.{old}" for old, _ in renamed}
            self.constraints |= {f"{table}.{new}" for _, new in renamed}
            return
        dropped = set(re.findall(r"drop\s+constraint\s+(?:if\s+exists\s+)?(\w+)", statement))
        named = set(re.findall(r"(?<!drop\s)(?<!alter\s)(?<!validate\s)constraint\s+(?!if\b)(\w+)", statement))
        self.constraints -= {f"{table}.{name}" for name in dropped}
        self.constraints |= {f"{table}.{name}" for name in named}

    def _add_grants(self, verbs: str, tables: list[str], roles: list[str]) -> None:
        for verb, columns in _VERB.findall(verbs):
            for column in _words(columns) if columns else [None]:
                self.grants |= {(role, table, verb, column) for role in roles for table in tables}

    def _drop(self, kind: str, name: str, table: str) -> None:
        if kind == "trigger":
            self.triggers.discard(f"{table}.{name}")
        elif kind == "index":
            self.indexes.discard(name if "." in name else f"public.{name}")
        else:
            self.tables.discard(name)
            self.constraints = {c for c in self.constraints if not c.startswith(f"{name}.")}
            self.triggers = {t for t in self.triggers if not t.startswith(f"{name}.")}
            self.indexes -= {index for index, table in self._indexed.items() if table == name}


def _statements(file: SqlFile) -> Iterator[str]:
    for statement in _COMMENT.sub(" ", file.text).split(";"):
        yield statement.strip()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
