"""What Maven is told: pinned coordinates of Java parts."""

from importlib.resources import files

BROKER_POM = files(__package__) / "broker-pom.xml"
