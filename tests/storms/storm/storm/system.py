"""front calls middle, middle calls payment; catalog needs nobody."""

from atoll import Gateway, Service, System
from storm.services import BottomService, CatalogService, FrontService, MiddleService

payment = Service("payment", BottomService)
middle = Service("middle", MiddleService)
front = Service("front", FrontService)
catalog = Service("catalog", CatalogService)

system = System("storm", services=[payment, middle, front, catalog], gateway=Gateway(expose=[front, catalog]))
