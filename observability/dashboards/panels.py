"""What stands on a board: panels with their queries as values, and as the Grafana SDK builds them.

Selectors use the board's variables, and the labels that targets have: `namespace`, `pod`, `pool`, `component`.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import prometheus as prometheus_models

from aftercall.contracts import metrics

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
POOLS = 'namespace=~"$namespace",pool=~"$pool"'
TENANTS = 'namespace=~"$namespace",tenant=~"$tenant"'
NAMESPACES = 'namespace=~"$namespace"'
WINDOW = "$__rate_interval"


def _selected(metric: metrics.Metric | str, more: str, labels: Mapping[str, str]) -> str:
    name = metric if isinstance(metric, str) else metric.name
    return f"{name}{{{more}{''.join(f',{label}={json.dumps(value)}' for label, value in labels.items())}}}"


def of_pools(metric: metrics.Metric | str, **labels: str) -> str:
    """Return a metric's series of the pools that are chosen."""
    return _selected(metric, POOLS, labels)


def of_tenants(metric: metrics.Metric | str, **labels: str) -> str:
    """Return a metric's series of the tenants that are chosen, in any pool that is chosen."""
    return _selected(metric, f'{TENANTS},pool=~"$pool"', labels)


def parts(metric: metrics.Metric, **labels: str) -> tuple[str, str, str]:
    """Return a histogram's buckets, sum and count, of the pools that are chosen."""
    buckets, total, count = (of_pools(f"{metric.name}_{part}", **labels) for part in ("bucket", "sum", "count"))
    return buckets, total, count


def mean(total: str, count: str) -> str:
    """Return a mean from a histogram's rates; nothing where nothing was counted."""
    return f"{total} / ({count} > 0)"


def per_second(by: str, series: str) -> str:
    """Return the rate of counters, summed up."""
    return f"sum by ({by}) (rate({series}[{WINDOW}]))"


TOP = 20
"""Of a thousand tenants as many lines can be told apart, and drawn."""


def top(series: str) -> str:
    """Return the largest few of series of tenants, at each time."""
    return f"topk({TOP}, {series})"


def of_top(series: str, largest: str) -> str:
    """Return series of those tenants that have the largest few of others; both by namespace and tenant."""
    return f"{series} and on (namespace, tenant) {top(largest)}"


class Form(enum.Enum):
    """How a panel shows its series."""

    LINES = "lines"
    STACK = "stack"
    NUMBER = "number"
    TABLE = "table"
    HEAT = "heat"


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what a series of it is called: labels in double braces."""

    expr: str
    legend: str
    exemplars: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """One picture; `description` says in a user's words what is seen and when to worry."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    form: Form = Form.LINES
    width: int = 12
    bounds: tuple[float | None, float | None] = (0, None)
    warn_at: float | None = None
    """From here on it is shown in red."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


_HEIGHT, _NUMBER_HEIGHT = 8, 4
_LEGEND_ROWS = "ABCDEFGH"


def build(panel: Panel, id_: int) -> cog.Builder[dashboard.Panel]:
    """Return the SDK's builder of a panel."""
    low, high = panel.bounds
    found: timeseries.Panel | stat.Panel | table.Panel | heatmap.Panel
    match panel.form:
        case Form.NUMBER:
            reduce = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
            found = stat.Panel().reduce_options(reduce).graph_mode(common.BigValueGraphMode.AREA)
            found = found.color_mode(common.BigValueColorMode.VALUE).text_mode(common.BigValueTextMode.AUTO)
        case Form.TABLE:
            found = table.Panel()
        case Form.HEAT:
            found = heatmap.Panel().calculate(False)
        case Form.LINES | Form.STACK:
            legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
            legend = legend.display_mode(common.LegendDisplayMode.TABLE).calcs(["lastNotNull", "max"])
            tooltip = common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
            found = timeseries.Panel().legend(legend).tooltip(tooltip.sort(common.SortOrder.DESCENDING))
            found = found.fill_opacity(30 if panel.form is Form.STACK else 8).show_points(common.VisibilityMode.NEVER)
            if panel.form is Form.STACK:
                found = found.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    found = found.id(id_).title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    found = found.span(panel.width).height(_NUMBER_HEIGHT if panel.form is Form.NUMBER else _HEIGHT)
    if low is not None:
        found = found.min(low)
    if high is not None:
        found = found.max(high)
    found = found.thresholds(_thresholds(panel.warn_at))
    for letter, query in zip(_LEGEND_ROWS, panel.queries, strict=False):
        found = found.with_target(_target(panel, query, letter))
    return found


def _target(panel: Panel, query: Query, letter: str) -> prometheus.Dataquery:
    found = prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expr).legend_format(query.legend)
    if panel.form is Form.TABLE:
        return found.instant().format(prometheus_models.PromQueryFormat.TABLE)
    if panel.form is Form.HEAT:
        return found.range().format(prometheus_models.PromQueryFormat.HEATMAP).exemplar(query.exemplars)
    return found.range().format(prometheus_models.PromQueryFormat.TIME_SERIES).exemplar(query.exemplars)


def _thresholds(warn_at: float | None) -> dashboard_builders.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    if warn_at is not None:
        steps.append(dashboard.Threshold(value=warn_at, color="red"))
    return dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
