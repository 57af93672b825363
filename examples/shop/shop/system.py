"""The boutique as a whole: what it is made of, and what the outside may reach.

Nobody says here who calls whom: a service's constructor does, and the contracts in it are found by their types. From
that follow clients, start order, network policies, and the map that `atoll graph` draws. Addresses, passwords and
ports are not said either: the supervisor here and Kubernetes there each fill in their own.
"""

from atoll import Asgi, Gateway, Jwt, Postgres, Process, RateLimit, Replicas, Secret, Service, Slo, System

from .ads.service import AdService
from .cart.service import CartService
from .catalog.contract import Catalog
from .catalog.service import CatalogService
from .checkout.contract import Checkout
from .checkout.service import CheckoutService
from .currency.service import CurrencyService
from .emails.contract import Mailbox
from .emails.service import EmailService, EmailSettings
from .frontend.app import FrontendSettings
from .payment.contract import Payment
from .payment.service import PaymentService, PaymentSettings
from .recommendation.contract import Recommendation
from .shipping.contract import Shipping
from .shipping.service import ShippingService
from .users.contract import Users
from .users.service import UserService

# Each service has a database and a role of its own; none can open another's. The folder holds its migrations. What its
# users may expect of a service becomes alerts, which tell somebody before it is missed.
catalog = Service(
    "catalog",
    CatalogService,
    database=Postgres(migrations="catalog/migrations"),
    replicas=Replicas(2, 6),
    slo=Slo(availability=0.999, latency=(0.99, 0.25)),
)
cart = Service("cart", CartService, database=Postgres(migrations="cart/migrations"), replicas=Replicas(2, 6))

# The user-service of the article: port 3000, three replicas, and a database whose address is in the Secret `db-secret`
# under the key `url`. A laptop has no such Secret, so atoll makes the database there as it does for the others.
users = Service(
    "users",
    UserService,
    database=Postgres(migrations="users/migrations", dsn=Secret("db-secret", key="url")),
    port=3000,
    replicas=3,
)

# Asked for every page in another currency than the boutique's own; its rates come with its migrations.
currency = Service("currency", CurrencyService, database=Postgres(migrations="currency/migrations"), replicas=2)

# Publishes order-placed, consumes payment-settled; calls cart, catalog, currency, shipping and payment.
checkout = Service(
    "checkout",
    CheckoutService,
    database=Postgres(migrations="checkout/migrations"),
    replicas=Replicas(2, 10),
    slo=Slo(availability=0.999),
)
payment = Service(
    "payment",
    PaymentService,
    database=Postgres(migrations="payment/migrations"),
    settings=PaymentSettings(limit=1_000_000),
    replicas=2,
    slo=Slo(availability=0.999),
)

# Consumes payment-settled, publishes order-shipped: nobody asks it to send a parcel.
shipping = Service("shipping", ShippingService, database=Postgres(migrations="shipping/migrations"), replicas=2)

# Consumes order-placed and order-shipped.
email = Service(
    "email",
    EmailService,
    database=Postgres(migrations="emails/migrations"),
    settings=EmailSettings(folder=".atoll/mailbox"),
)

# The smallest of them: a contract and a list. It has no database, so none is made for it.
ads = Service("ads", AdService)

# A program in another language is a member too. Where Node.js is missing it is left out, and pages go without it.
recommendation = Process(
    "recommendation",
    ["node", "server.js"],
    directory="recommendation",
    contract=Recommendation,
    calls=[Catalog],
)

# A factory: its parameters are found by their types, like a constructor's.
frontend = Asgi(
    "frontend",
    "shop.frontend:create",
    path="/",
    settings=FrontendSettings(session_key=Secret("session-key")),
    replicas=Replicas(2, 10),
    slo=Slo(availability=0.999, latency=(0.95, 1.0)),
)

# A FastAPI application as anyone would have written it. It knows nothing of atoll: the addresses of what it calls are
# in its environment, as CHECKOUT_URL and so on.
admin = Asgi("admin", "shop.admin:app", path="/admin", calls=[Checkout, Payment, Shipping, Mailbox, Users])

shop = System(
    "shop",
    services=[
        frontend,
        admin,
        catalog,
        cart,
        users,
        currency,
        checkout,
        payment,
        shipping,
        email,
        ads,
        recommendation,
    ],
    # The pages, the office, and the catalog's own API. The others are called from inside alone: nothing that could list
    # the customers or charge a card can be reached from outside.
    #
    # Everybody may look: pages, office and catalog are public. Only what asks for a scope, as setting a price does,
    # needs a token; `atoll token --subject ada --scopes prices:write` makes one for `atoll run`. The limit keeps one
    # address from taking the whole boutique: it is above what a load generator on this machine asks for.
    gateway=Gateway(
        expose=[frontend, admin, catalog],
        auth=Jwt(
            issuer="https://login.sandpiper.example",
            audience="shop",
            jwks="https://login.sandpiper.example/.well-known/jwks.json",
        ),
        public=[frontend, admin, catalog],
        rate_limits=[RateLimit("3000/s", per="client")],
    ),
)
