"""front calls checkout, checkout calls payment, payment calls the bank; catalog needs nobody."""

from atoll import External, Gateway, Service, System
from storm.contracts import Bank
from storm.services import CatalogService, CheckoutService, FrontService, PaymentService

# The test that copies this file listens there.
bank = External("bank", contract=Bank, url="http://127.0.0.1:9")
payment = Service("payment", PaymentService)
checkout = Service("checkout", CheckoutService)
front = Service("front", FrontService)
catalog = Service("catalog", CatalogService)

system = System("storm", services=[bank, payment, checkout, front, catalog], gateway=Gateway(expose=[front, catalog]))
