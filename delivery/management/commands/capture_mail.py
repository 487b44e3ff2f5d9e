"""Run the capture server at CAPTURE_URL until SIGINT or SIGTERM. Prints `ready` when it listens."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from delivery import capture
from delivery.channels.relay import parse


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        relay = parse(settings.CAPTURE_URL)
        server, handler = capture.controller(host=relay.host, port=relay.port)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        server.start()
        self.stdout.write("ready")
        self.stdout.flush()
        stop.wait()
        server.stop()
        handler.close()
