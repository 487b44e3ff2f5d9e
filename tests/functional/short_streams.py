"""The product's site with streams that end soon, for a server of the tests."""

import os

from delivery import inbox_stream

inbox_stream.STREAM_SECONDS_MAX = float(os.environ["TEST_STREAM_SECONDS"])

from lamba_campaigns.wsgi import application as application  # noqa: E402
