from atoll import Asgi, Gateway, System

first, second = Asgi("one", "asgi_app:app", path="/"), Asgi("two", "asgi_app:app", path="/")
shop = System("shop", services=[first, second], gateway=Gateway(expose=[first, second]))
