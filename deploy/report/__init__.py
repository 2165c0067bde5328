"""``nftestbed report``: a recorded run as one HTML page that needs nothing else to be read."""

from deploy.report.page import report_page

__all__ = ["report_page"]
