"""Two services that call each other and exchange events, and a program."""

from atoll import Gateway, Postgres, Process, Service, Slo, System
from sample.counter.service import CounterService
from sample.greeter.service import GreeterService

counter = Service("counter", CounterService, database=Postgres(migrations="counter/migrations"), slo=Slo())
greeter = Service("greeter", GreeterService, database=Postgres())
echo = Process("echo", ["python3", "echo.py"], directory="echo", path="/echo")

system = System("sample", services=[counter, greeter, echo], gateway=Gateway(expose=[counter, greeter, echo]))
