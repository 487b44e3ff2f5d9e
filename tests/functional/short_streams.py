"""The product's site with streams that end soon, for a server of the tests. The models need Django set up."""

import os

from lamba_campaigns.wsgi import application as application

# isort: split
from delivery import inbox_stream

inbox_stream.STREAM_SECONDS_MAX = float(os.environ["TEST_STREAM_SECONDS"])
