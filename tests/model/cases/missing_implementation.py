from atoll import Asgi, Service, System

shop = System(
    "shop",
    services=[
        Service("gone", "missing_implementation:CatalogServce"),
        Service("nowhere", "no_such_package.service:Catalog"),
        Asgi("number", "missing_implementation:NUMBER"),
    ],
)


class CatalogService:
    pass


NUMBER = 7
