from tests.journeys.commands import vitrail as vitrail
