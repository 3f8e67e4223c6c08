"""Statements that are written once and kept.

Where something is asked again and again, the ORM takes longer to write the statement anew than the database
to answer it. A question is a queryset whose places are filled when it is asked, a statement is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.models import BigIntegerField, Expression, Field, Lookup, Model, QuerySet
from django.db.models.query import get_related_populators
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row", bound=Model)
# By their places in a row: the column, and what makes its value of what the database gave.
_Converters = list[tuple[int, Any, Callable[[Any, Any, Any], Any]]]


class Given(Expression):
    """A place in a question, by the name under which it is filled."""

    def __init__(self, name: str) -> None:
        super().__init__(output_field=BigIntegerField())
        self.name = name

    def as_sql(self, _compiler: SQLCompiler, _connection: object) -> tuple[str, Any]:
        """The place itself stands among the parameters until it is filled."""
        return "%s", [self]


@Field.register_lookup
class Among(Lookup):
    """Whether a column is one of a list that is given whole, as `pk__among=Given(…)`."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, Any]:
        """Compare with an array."""
        left, given = self.process_lhs(compiler, connection)
        right, more = self.process_rhs(compiler, connection)
        return f"{left} = ANY({right})", [*given, *more]


class _Plan(NamedTuple):
    """A statement, and how its rows become objects."""

    statement: str
    parameters: tuple[Any, ...]
    model: type[Model]
    names: list[str]
    columns: slice
    populators: list[Any]
    converters: dict[int, Any]
    annotations: dict[str, int]
    compiler: SQLCompiler


class Question(Generic[Row]):
    """A queryset of objects that is written down when it is first asked."""

    def __init__(self, queryset: Callable[[], QuerySet[Row]]) -> None:
        """Keep how to make the queryset: at import the models it joins need not be there yet.

        Args:
            queryset: may join related rows and leave out columns; prefetches are not followed.
        """
        self._queryset = queryset

    def ask(self, **given: object) -> list[Row]:
        """Return the rows that are there now, as objects of their own.

        Args:
            given: what fills the places, by their names.
        """
        plan = self._plan
        filled: list[Any] = [
            given[each.name] if isinstance(each, Given) else each for each in plan.parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(plan.statement, filled)
            rows = cursor.fetchall()
        converted = plan.compiler.apply_converters(rows, plan.converters) if plan.converters else rows
        return [_object_of(plan, row) for row in converted]

    @cached_property
    def _plan(self) -> _Plan:
        compiler = self._queryset().query.get_compiler(using=DEFAULT_DB_ALIAS)
        statement, parameters = compiler.as_sql()
        found: Any = compiler.klass_info
        first, last = found["select_fields"][0], found["select_fields"][-1] + 1
        return _Plan(
            statement=statement,
            parameters=tuple(parameters),
            model=found["model"],
            names=[each[0].target.attname for each in compiler.select[first:last]],
            columns=slice(first, last),
            populators=get_related_populators(found, compiler.select, DEFAULT_DB_ALIAS),  # type: ignore[call-arg]
            converters=compiler.get_converters([each[0] for each in compiler.select]),
            annotations=dict(compiler.annotation_col_map or {}),
            compiler=compiler,
        )


class Statement(Generic[Row]):
    """A statement of ours whose rows are objects; it is put together when it is first asked."""

    def __init__(
        self,
        model: type[Row],
        text: str,
        *,
        table: str = "",
        but: Collection[str] = (),
        beside: Sequence[str] = (),
    ) -> None:
        """Keep the statement.

        Args:
            text: begins its list with {columns}; what follows them there is named by `beside`.
            table: by what name the columns are read.
            but: fields that are left out.
            beside: attributes of the objects besides their fields.
        """
        self._model, self._text, self._table = model, text, table
        self._but, self._beside = but, tuple(beside)

    def ask(self, *parameters: Any) -> list[Row]:
        """Return the rows, as objects of their own."""
        text, names, converters = self._plan
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return [self._object(row, names, converters) for row in cursor.fetchall()]

    def _object(self, row: Sequence[Any], names: list[str], converters: _Converters) -> Row:
        values = list(row)
        for place, field, convert in converters:
            values[place] = convert(values[place], field, connection)
        found = self._model.from_db(DEFAULT_DB_ALIAS, names, values[: len(names)])
        for name, value in zip(self._beside, values[len(names) :], strict=True):
            setattr(found, name, value)
        return found

    @cached_property
    def _plan(self) -> tuple[str, list[str], _Converters]:
        fields: list[Any] = [each for each in self._model._meta.concrete_fields if each.name not in self._but]
        dot = f"{self._table}." if self._table else ""
        text = self._text.replace("{columns}", ", ".join(f"{dot}{each.column}" for each in fields))
        converters = [
            (place, each.get_col(each.model._meta.db_table), convert)
            for place, each in enumerate(fields)
            for convert in each.get_db_converters(connection)
        ]
        return text, [each.attname for each in fields], converters


def _object_of(plan: _Plan, row: Any) -> Any:
    found = plan.model.from_db(DEFAULT_DB_ALIAS, plan.names, row[plan.columns])
    for populator in plan.populators:
        populator.populate(row, found)
    for name, place in plan.annotations.items():
        setattr(found, name, row[place])
    return found


def hold_related(owner: Model, name: str, rows: Sequence[Model]) -> None:
    """Let `owner.NAME.all()` give these rows, as after a prefetch; what is narrower is asked."""
    held: Any = getattr(owner, name).get_queryset()
    held._result_cache = list(rows)
    vars(owner).setdefault("_prefetched_objects_cache", {})[name] = held


def save(row: Model, names: Iterable[str]) -> None:
    """Store the named fields of a row that is there, as its own `save` with `update_fields` does.

    Raises:
        DatabaseError: it is there no more.
    """
    statement, fields = _update(type(row), tuple(names))
    values = [field.get_db_prep_save(field.pre_save(row, add=False), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, row.pk])
        if cursor.rowcount != 1:
            raise DatabaseError(f"{row._meta.label} {row.pk} is there no more")


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[Field[Any, Any]]]:
    meta = model._meta
    fields: list[Any] = [meta.get_field(name) for name in dict.fromkeys(names)]
    columns = ", ".join(f'"{field.column}" = %s' for field in fields)
    statement = f'UPDATE "{meta.db_table}" SET {columns} WHERE "{meta.pk.column}" = %s'  # noqa: S608
    return statement, fields
