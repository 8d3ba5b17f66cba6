# SPDX-License-Identifier: Apache-2.0
"""An application as users write them: a factory, a blueprint, a command of its own, hooks before requests, a stream."""

import os
from collections.abc import Iterator

import click
from celery import Celery
from flask import Blueprint, Flask, Response, stream_with_context

import z4j_celery
from z4j_flask import Z4J

celery = Celery("shop", broker=os.environ["BROKER_URL"])
z4j = Z4J()
shop = Blueprint("shop", __name__, url_prefix="/shop")


@celery.task(name="ship")
def ship(number: int) -> int:
    return number


@shop.get("/orders/<int:number>")
def order(number: int) -> str:
    return str(ship.delay(number).id)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(Z4J_APP="shop", Z4J_ALLOW="read")

    @app.before_request
    def audit() -> None:
        app.config["LAST"] = str(ship.apply_async((0,)).id) if os.environ.get("WITH_AUDIT") else ""

    @app.get("/")
    def home() -> str:
        return "home"

    @app.get("/audited/<word>")
    def audited(word: str) -> str:
        return str(app.config["LAST"])

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("as the view says")

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            yield str(ship.delay(1).id)

        return Response(stream_with_context(parts()))

    @app.cli.command("order")
    def order_one() -> None:
        click.echo(str(ship.delay(7).id))

    app.register_blueprint(shop)
    if not os.environ.get("WITHOUT_Z4J"):
        z4j.init_app(app)
        z4j.init_app(app)
        z4j_celery.install(celery)
    return app
