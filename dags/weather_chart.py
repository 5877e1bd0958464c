"""The chart of weather.py: months as a temperature band above bars of precipitation, drawn as SVG by hand."""

import math

LEFT, RIGHT, SEA, FLOOR = 64, 920, 310, 425  # SEA: the y of the coldest label; FLOOR: where the bars stand
FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 460" font-family="sans-serif" font-size="12" fill="#5c6b7a">
<rect width="960" height="460" rx="8" fill="#fbfcfd"/>
<text x="64" y="34" font-size="18" font-weight="bold" fill="#1f2d3a">Seattle by month</text>
<text x="64" y="54">band: mean low to mean high · bars: rain and snow, at most {wettest} mm in a month</text>
{grid}
<polygon points="{band}" fill="#f2a65a" fill-opacity="0.55" stroke="#d9782b" stroke-width="1.5" stroke-linejoin="round"/>
{bars}
</svg>
"""  # noqa: E501 - one element a line


def draw(months: list[dict]) -> str:
    """Return the SVG of `months`, oldest first, with `period` ("2012-01"), `low`, `high` and `rain`."""
    coldest = 5 * math.floor(min(month["low"] for month in months) / 5)
    warmest = max(5 * math.ceil(max(month["high"] for month in months) / 5), coldest + 5)
    wettest = max(month["rain"] for month in months)
    step = (RIGHT - LEFT) / len(months)

    def x(index: float) -> float:
        return round(LEFT + step * index, 1)

    def y(degrees: float) -> float:
        return round(SEA - 235 * (degrees - coldest) / (warmest - coldest), 1)

    grid, bars = [], []
    for degrees in range(coldest, warmest + 1, 5):
        grid.append(f'<path d="M{LEFT} {y(degrees)}H{RIGHT}" stroke="#e3e8ed"/>')
        grid.append(f'<text x="{LEFT - 10}" y="{y(degrees) + 4}" text-anchor="end">{degrees} °C</text>')
    for index, month in enumerate(months):
        if month["period"].endswith("-01"):
            grid.append(f'<path d="M{x(index)} 70V430" stroke="#c9d2da"/>')
            grid.append(f'<text x="{x(index + 0.2)}" y="445">{month["period"][:4]}</text>')
        tall = round(90 * month["rain"] / max(wettest, 1), 1)
        box = f'x="{x(index + 0.14)}" y="{FLOOR - tall:.1f}" width="{step * 0.72:.1f}" height="{tall}" rx="2"'
        hint = f"{month['period']}: {month['low']} to {month['high']} °C, {month['rain']} mm"
        bars.append(f'<rect {box} fill="#3f7cac"><title>{hint}</title></rect>')

    highs = [f"{x(index + 0.5)},{y(month['high'])}" for index, month in enumerate(months)]
    lows = [f"{x(index + 0.5)},{y(month['low'])}" for index, month in enumerate(months)]
    band = " ".join([*highs, *reversed(lows)])
    return FRAME.format(wettest=wettest, grid="\n".join(grid), band=band, bars="\n".join(bars))
