"""The boards: their variables, their links to each other and to the runbooks, and the files that Grafana reads."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog import encoder
from grafana_foundation_sdk.models import dashboard

from aftercall.contracts import metrics
from observability.dashboards import backend, latency, operating, overview, tenants
from observability.dashboards.panels import POOLS, SOURCE, Row, build
from observability.rules import groups

TAG = "aftercall"


@dataclasses.dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `uid` never changes, since people keep links to it."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    with_price: bool = False
    of_tenants: bool = True
    """Whether some picture is of the tenants that are chosen. Elsewhere the choice is kept, out of sight, for links."""


BOARDS = (
    Board("aftercall-overview", "aftercall / Overview and SLO", overview.DESCRIPTION, overview.ROWS),
    Board("aftercall-latency", "aftercall / Latency by stage", latency.DESCRIPTION, latency.ROWS, of_tenants=False),
    Board("aftercall-tenants", "aftercall / Tenants", tenants.DESCRIPTION, tenants.ROWS, with_price=True),
    Board(
        "aftercall-backend", "aftercall / GPU and speech backend", backend.DESCRIPTION, backend.ROWS, of_tenants=False
    ),
    Board("aftercall-operator", "aftercall / Operator", operating.DESCRIPTION, operating.ROWS),
)

SCALE_CHANGES = (
    f"sum by (namespace, pool, fleet, direction) (changes({metrics.OPERATOR_CHANGES.name}{{{POOLS}}}[1m])) > 0"
)
"""When the operator wrote another number of replicas, drawn into every picture."""


def render() -> dict[str, str]:
    """Return the files by their names; the same boards are the same bytes."""
    return {f"{board.uid}.json": _text(board) for board in BOARDS}


def _text(board: Board) -> str:
    found: dict[str, Any] = json.loads(json.dumps(_build(board), cls=encoder.JSONEncoder))
    for annotation in found["annotations"]["list"]:
        # What the SDK has no words for.
        annotation |= {
            "titleFormat": "{{fleet}} of {{namespace}}/{{pool}} {{direction}}",
            "tagKeys": "namespace,pool,fleet,direction",
            "step": "30s",
        }
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _build(board: Board) -> dashboard.Dashboard:
    found = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
    )
    for variable in _variables(board):
        found = found.with_variable(variable)
    for link in _links():
        found = found.link(link)
    annotation = builders.AnnotationQuery().name("Scale changes").datasource(SOURCE).enable(True)
    found = found.annotation(annotation.icon_color("light-blue").expr(SCALE_CHANGES))
    id_ = 0
    for row in board.rows:
        id_ += 1
        found = found.with_row(builders.Row(row.title).id(id_))
        for panel in row.panels:
            id_ += 1
            found = found.with_panel(build(panel, id_))
    return found.build()


def _links() -> tuple[builders.DashboardLink, ...]:
    boards = builders.DashboardLink("aftercall").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    runbooks = builders.DashboardLink("Runbooks").type(dashboard.DashboardLinkType.LINK).icon("doc")
    return (
        boards.as_dropdown(True).include_vars(True).keep_time(True),
        runbooks.url("${runbooks}/README.md").target_blank(True).tooltip("What to do about each alert"),
    )


def _named(*found: metrics.Metric) -> str:
    return f'__name__=~"{"|".join(each.name for each in found)}"'


def _variables(board: Board) -> tuple[Any, ...]:
    pools = _named(metrics.JOBS_RUNNING, metrics.OPERATOR_WANTED)
    by_tenant = _named(metrics.WAITING_AUDIO, metrics.AUDIO_SECONDS, metrics.OPERATOR_LIMIT)
    source = builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
    runbooks = builders.TextBoxVariable("runbooks").label("Runbooks").hide(dashboard.VariableHide.HIDE_VARIABLE)
    price = builders.TextBoxVariable("price").label("Price of an hour of audio").default_value("0.10")
    tenant = _choice("tenant", "Tenant", f'label_values({{{by_tenant},namespace=~"$namespace"}}, tenant)')
    return (
        source,
        _choice("namespace", "Namespace", f"label_values({{{pools}}}, namespace)"),
        _choice("pool", "Pool", f'label_values({{{pools},namespace=~"$namespace",pool!=""}}, pool)'),
        tenant if board.of_tenants else tenant.hide(dashboard.VariableHide.HIDE_VARIABLE),
        *([price] if board.with_price else []),
        runbooks.default_value(groups.RUNBOOKS),
    )


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    every = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    found = builders.QueryVariable(name).label(label).datasource(SOURCE).query(query).current(every)
    found = found.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    # All is any value and none: what runs outside Kubernetes has no pool.
    found = found.sort(dashboard.VariableSort.ALPHABETICAL_ASC).multi(True).include_all(True)
    return found.all_value(".*")
