"""The proof of the main job, unattended: Lamba and a mail provider, played from outside over HTTP and SMTP only."""
