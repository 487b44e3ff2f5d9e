"""`manage.py create_account alice@example.com --name "Alice Adler"`: may sign in; membership comes after."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email


class Command(BaseCommand):
    help = "Create an account of this installation. It belongs to no workspace until an owner or admin adds it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="Given and family name.")
        parser.add_argument("--password", default="", help="Asked for when left out.")
        parser.add_argument("--staff", action="store_true", help="May open the support view at /staff/.")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        given, _, family = options["name"].partition(" ")
        user = User(username=email, email=email, first_name=given, last_name=family, is_staff=options["staff"])
        user.is_superuser = options["staff"]
        password = options["password"] or getpass.getpass()
        try:
            validate_email(email)
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        if User.objects.filter(email__iexact=email).exists():
            raise CommandError(f"{email} has an account already.")
        user.set_password(password)
        user.save()
        self.stdout.write(f"{email} may sign in.")
