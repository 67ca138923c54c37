"""Cloud Storage's JSON API: buckets, and objects that are small enough to be sent at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.google.clock import GoogleClock, rfc3339
from tests.google.ledger import Billed, Ledger
from tests.google.refusals import Refusal
from tests.google.rest import Asked, Json, Raw, Route, paged


@dataclass
class Object:
    content: bytes
    created: float
    billed: Billed


@dataclass
class Bucket:
    name: str
    location: str
    billed: Billed
    created: float
    labels: dict[str, str] = field(default_factory=dict)
    objects: dict[str, Object] = field(default_factory=dict)


class StorageApi:
    """The methods; ``buckets`` is what there is."""

    def __init__(self, project: str, clock: GoogleClock, ledger: Ledger) -> None:
        self._project = project
        self._clock = clock
        self._ledger = ledger
        self.buckets: dict[str, Bucket] = {}
        self.foreign: set[str] = set()
        """Buckets of somebody else: their names are taken, all over the world."""

    def routes(self) -> list[Route]:
        bucket, thing = "/storage/v1/b/{bucket}", "/storage/v1/b/{bucket}/o/{+object}"
        upload = "/upload/storage/v1/b/{bucket}/o"
        return [
            Route("POST", "/storage/v1/b", "storage.buckets.insert", self._new_bucket),
            Route("GET", "/storage/v1/b", "storage.buckets.list", self._list_buckets),
            Route("GET", bucket, "storage.buckets.get", self._get_bucket),
            Route("DELETE", bucket, "storage.buckets.delete", self._delete_bucket),
            Route("POST", upload, "storage.objects.insert", self._upload),
            Route("GET", f"{bucket}/o", "storage.objects.list", self._list),
            Route("GET", thing, "storage.objects.get", self._get),
            Route("DELETE", thing, "storage.objects.delete", self._delete),
        ]

    def write(self, bucket: str, name: str, content: bytes) -> None:
        """Put an object there, in the bucket if there is one."""
        found = self.buckets.get(bucket)
        if found is None:
            return
        if name in found.objects:
            found.objects[name].content = content
            return
        billed = self._ledger.opened("object", f"{bucket}/{name}", found.location)
        found.objects[name] = Object(content, self._clock.now(), billed)

    def read(self, bucket: str, name: str) -> bytes | None:
        found = self.buckets.get(bucket)
        thing = found.objects.get(name) if found else None
        return thing.content if thing else None

    def _new_bucket(self, asked: Asked) -> Json:
        name = str(asked.body.get("name") or "")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name):
            raise Refusal("INVALID_ARGUMENT", f"Invalid bucket name: '{name}'")
        if name in self.foreign:
            text = "The requested bucket name is not available. The bucket namespace is shared."
            raise Refusal("ALREADY_EXISTS", text)
        if name in self.buckets:
            text = (
                "Your previous request to create the named bucket succeeded and you already own it."
            )
            raise Refusal("ALREADY_EXISTS", text)
        location = str(asked.body.get("location") or "US").upper()
        labels = dict(asked.body.get("labels") or {})
        billed = self._ledger.opened("bucket", name, location, labels=labels)
        self.buckets[name] = Bucket(name, location, billed, self._clock.now(), labels)
        return self._told(self.buckets[name])

    def _list_buckets(self, asked: Asked) -> Json:
        found = [self._told(bucket) for _, bucket in sorted(self.buckets.items())]
        page, more = paged(found, asked.query, 1000)
        return {"kind": "storage#buckets", "items": page, **more}

    def _get_bucket(self, asked: Asked) -> Json:
        return self._told(self._bucket(asked))

    def _delete_bucket(self, asked: Asked) -> Raw:
        bucket = self._bucket(asked)
        if bucket.objects:
            raise Refusal("ABORTED", "The bucket you tried to delete is not empty.")
        self._ledger.closed(bucket.billed)
        del self.buckets[bucket.name]
        return Raw(b"", status=204)

    def _upload(self, asked: Asked) -> Json:
        bucket = self._bucket(asked)
        name = asked.query.get("name", "")
        if asked.query.get("uploadType") != "media" or not name:
            raise Refusal("INVALID_ARGUMENT", "The stand-in takes uploadType=media with a name.")
        self.write(bucket.name, name, asked.raw)
        return self._object_told(bucket, name)

    def _list(self, asked: Asked) -> Json:
        bucket = self._bucket(asked)
        prefix = asked.query.get("prefix", "")
        found = [
            self._object_told(bucket, name)
            for name in sorted(bucket.objects)
            if name.startswith(prefix)
        ]
        page, more = paged(found, asked.query, 1000)
        return {"kind": "storage#objects", **({"items": page} if page else {}), **more}

    def _get(self, asked: Asked) -> Json | Raw:
        bucket, name = self._bucket(asked), asked.path["object"]
        thing = self._object(bucket, name)
        if asked.query.get("alt") != "media":
            return self._object_told(bucket, name)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("Range", ""))
        if found is None:
            return Raw(thing.content)
        start = int(found[1])
        if start >= len(thing.content):
            return Raw(b"", status=416)
        end = int(found[2]) + 1 if found[2] else len(thing.content)
        return Raw(thing.content[start:end], status=206)

    def _delete(self, asked: Asked) -> Raw:
        bucket, name = self._bucket(asked), asked.path["object"]
        thing = self._object(bucket, name)
        self._ledger.closed(thing.billed)
        del bucket.objects[name]
        return Raw(b"", status=204)

    def _bucket(self, asked: Asked) -> Bucket:
        name = asked.path["bucket"]
        if name in self.foreign:
            text = f"The caller does not have storage.buckets.get access to bucket {name}."
            raise Refusal("PERMISSION_DENIED", text)
        if name not in self.buckets:
            raise Refusal("NOT_FOUND", "The specified bucket does not exist.")
        return self.buckets[name]

    def _object(self, bucket: Bucket, name: str) -> Object:
        if name not in bucket.objects:
            raise Refusal("NOT_FOUND", f"No such object: {bucket.name}/{name}")
        return bucket.objects[name]

    def _told(self, bucket: Bucket) -> Json:
        return {
            "kind": "storage#bucket",
            "id": bucket.name,
            "name": bucket.name,
            "projectNumber": "123456789012",
            "location": bucket.location,
            "storageClass": "STANDARD",
            "labels": bucket.labels,
            "timeCreated": rfc3339(bucket.created),
        }

    def _object_told(self, bucket: Bucket, name: str) -> Json:
        thing = bucket.objects[name]
        return {
            "kind": "storage#object",
            "id": f"{bucket.name}/{name}/1",
            "name": name,
            "bucket": bucket.name,
            "generation": "1",
            "size": str(len(thing.content)),
            "timeCreated": rfc3339(thing.created),
        }
