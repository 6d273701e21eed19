"""`crunch-reuse views` that loses patience soon: run as a program, with its words."""

from gateway.cli import main
from streams import views

BEATS = 5

if __name__ == "__main__":
    views.STANDSTILL = BEATS
    main()
