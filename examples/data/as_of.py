#!/usr/bin/env python3
"""Counts, from the CSV alone, what `flights --json --as-of DATE` has to print: one report for each date.

    as_of.py flights-2013-01.csv 2013-01-01 2013-01-15 > flights-as-of.expected.json
"""

import csv
import json
import sys

FIGURES = ["scheduled", "departed", "arrived", "cancelled", "dep_delay_minutes", "arr_delay_minutes", "miles_flown"]


def report(rows, date):
    carriers, routes = {}, {}
    for row in rows:
        has_left, has_arrived = row["dep_delay"] != "", row["arr_delay"] != ""
        figures = carriers.setdefault(row["carrier"], dict.fromkeys(FIGURES, 0))
        figures["scheduled"] += 1
        figures["cancelled"] += not has_left
        figures["departed"] += has_left
        figures["dep_delay_minutes"] += int(row["dep_delay"] or 0)
        if has_arrived:
            figures["arrived"] += 1
            figures["arr_delay_minutes"] += int(row["arr_delay"])
            figures["miles_flown"] += int(row["distance"])
            route = (row["origin"], row["dest"])
            routes[route] = routes.get(route, 0) + 1
    sums = {figure: sum(of[figure] for of in carriers.values()) for figure in FIGURES}
    most = max(routes.values())
    return {
        "as_of": date,
        "totals": {
            "flights": sums["scheduled"],
            "cancelled": sums["cancelled"],
            "departed": sums["departed"],
            "arrived": sums["arrived"],
            "diverted_or_unreported": sums["departed"] - sums["arrived"],
            "events": sums["scheduled"] + sums["cancelled"] + sums["departed"] + sums["arrived"],
        },
        "carriers": dict(sorted(carriers.items())),
        "busiest_route": min(route for route in routes if routes[route] == most),
        "busiest_route_arrivals": most,
    }


def main():
    path, *dates = sys.argv[1:]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    day = "2013-{:02}-{:02}".format
    of = {date: [row for row in rows if day(int(row["month"]), int(row["day"])) <= date] for date in dates}
    print(json.dumps([report(of[date], date) for date in dates], indent=1))


if __name__ == "__main__":
    main()
