"""The inspection: what is in a data set and what must be mended, before anything is computed on it."""

from vitrail.data.inspection.findings import Finding as Finding
from vitrail.data.inspection.pending import PendingInspection as PendingInspection
from vitrail.data.inspection.pending import begin_inspection as begin_inspection
from vitrail.data.inspection.result import Inspection as Inspection
