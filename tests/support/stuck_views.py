"""`crunch-reuse views` as Faust runs it when it forgets to read a partition: run as a program, with its words."""

from faust.transport.drivers.aiokafka import Consumer

from gateway.cli import main
from streams import views

FORGOTTEN = 1
BEATS = 5  # it is said of it sooner, since here nothing else can be the cause
resume = Consumer.resume_partitions


def resume_others(consumer: Consumer, places: set) -> None:
    """Resume what is to be resumed, but for one partition of each topic."""
    resume(consumer, {place for place in places if place.partition != FORGOTTEN})


if __name__ == "__main__":
    Consumer.resume_partitions = resume_others
    views.STANDSTILL = BEATS
    main()
