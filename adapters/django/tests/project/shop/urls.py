# SPDX-License-Identifier: Apache-2.0
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

from shop.tasks import ship


def order(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(ship.delay(number).id))


async def order_async(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(ship.delay(number).id))


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("as the view says")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(str(ship.delay(number).id) for number in range(1))


urlpatterns = [
    path("", home),
    path("broken/", broken),
    path("shop/", include([path("orders/<int:number>/", order)])),
    path("later/<int:number>/", order_async),
    re_path(r"^old/(?P<number>[0-9]+)/$", order),
    path("stream/", stream),
]
