from atoll import Service, Slo, System, get


class Fine:
    @get("/fine")
    async def fine(self) -> str:
        return ""


shop = System(
    "shop",
    services=[
        Service("always", Fine, slo=Slo(availability=1.0)),
        Service("seldom", Fine, slo=Slo(latency=(0.2, 0.1))),
        Service("late", Fine, slo=Slo(latency=(0.99, 90.0))),
        Service("good", Fine, slo=Slo(availability=0.99, latency=(0.9, 0.5))),
    ],
)
