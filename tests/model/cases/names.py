from atoll import Gateway, Process, Service, System, get


class Hello:
    @get("/hello")
    async def hello(self) -> str:
        return "hello"


other = Service("elsewhere", Hello)
silent = Process("silent", ["true"])
shop = System(
    "My Shop",
    services=[
        Service("hello", Hello),
        Service("hello", Hello),
        Service("Hello_World", Hello),
        Service("", Hello),
        silent,
    ],
    gateway=Gateway(expose=[other, silent]),
)
