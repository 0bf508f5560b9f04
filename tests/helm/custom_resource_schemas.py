"""Schemas of the custom resources that the chart creates for other projects.

They are copied by hand from the custom resource definitions: the fields that the chart uses, their
types, and the required ones. A field that is not listed is a fault.
"""

from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_WHOLE: Final[Schema] = {"type": "integer"}
_SWITCH: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {"type": "object"}


def _object(required: str = "", **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def _texts() -> Schema:
    return {"type": "object", "additionalProperties": _TEXT}


_CLUSTER: Final = {
    "oneOf": [
        _object("name", name=_TEXT, namespace=_TEXT),
        _object("connectionSecret", connectionSecret=_object("name", name=_TEXT)),
    ]
}


def _rabbitmq(required: str, **fields: Schema) -> Schema:
    required = f"rabbitmqClusterReference {required}"
    return _object(required, rabbitmqClusterReference=_CLUSTER, **fields)


_RELABELING: Final = _object(
    action=_TEXT,
    sourceLabels=_list(_TEXT),
    separator=_TEXT,
    regex=_TEXT,
    modulus=_WHOLE,
    replacement=_TEXT,
    targetLabel=_TEXT,
)
_TLS: Final = _object(
    ca=_ANY,
    cert=_ANY,
    keySecret=_ANY,
    serverName=_TEXT,
    insecureSkipVerify=_SWITCH,
    caFile=_TEXT,
    certFile=_TEXT,
    keyFile=_TEXT,
)
SPECS: Final[dict[str, Schema]] = {
    "rabbitmq.com/v1beta1/Queue": _rabbitmq(
        "name",
        name=_TEXT,
        vhost=_TEXT,
        type=_TEXT,
        durable=_SWITCH,
        autoDelete=_SWITCH,
        arguments=_ANY,
    ),
    "rabbitmq.com/v1beta1/Exchange": _rabbitmq(
        "name", name=_TEXT, vhost=_TEXT, type=_TEXT, durable=_SWITCH, autoDelete=_SWITCH
    ),
    "rabbitmq.com/v1beta1/Binding": _rabbitmq(
        "",
        source=_TEXT,
        destination=_TEXT,
        destinationType={"enum": ["exchange", "queue"]},
        routingKey=_TEXT,
        vhost=_TEXT,
    ),
    "rabbitmq.com/v1beta1/User": _rabbitmq("", importCredentialsSecret=_object("name", name=_TEXT)),
    "rabbitmq.com/v1beta1/Permission": _rabbitmq(
        "permissions vhost",
        vhost=_TEXT,
        userReference=_object("name", name=_TEXT),
        permissions=_object("", configure=_TEXT, read=_TEXT, write=_TEXT),
    ),
    "keda.sh/v1alpha1/TriggerAuthentication": _object(
        "secretTargetRef",
        secretTargetRef=_list(
            _object("parameter name key", parameter=_TEXT, name=_TEXT, key=_TEXT)
        ),
    ),
    "keda.sh/v1alpha1/ScaledObject": _object(
        "scaleTargetRef triggers",
        scaleTargetRef=_object("name", apiVersion=_TEXT, kind=_TEXT, name=_TEXT),
        minReplicaCount=_WHOLE,
        maxReplicaCount=_WHOLE,
        pollingInterval=_WHOLE,
        advanced=_object(horizontalPodAutoscalerConfig=_object(behavior=_ANY)),
        triggers=_list(
            _object(
                "type metadata",
                type=_TEXT,
                metadata=_texts(),
                authenticationRef=_object("name", name=_TEXT),
            )
        ),
    ),
    "monitoring.coreos.com/v1/ServiceMonitor": _object(
        "selector endpoints",
        jobLabel=_TEXT,
        targetLabels=_list(_TEXT),
        podTargetLabels=_list(_TEXT),
        sampleLimit=_WHOLE,
        namespaceSelector=_object("matchNames", matchNames=_list(_TEXT)),
        selector=_object("matchLabels", matchLabels=_texts()),
        endpoints=_list(
            _object(
                "port",
                port=_TEXT,
                path=_TEXT,
                interval=_TEXT,
                scrapeTimeout=_TEXT,
                honorLabels=_SWITCH,
                scheme={"enum": ["http", "https"]},
                tlsConfig=_TLS,
                relabelings=_list(_RELABELING),
                metricRelabelings=_list(_RELABELING),
            )
        ),
    ),
    "monitoring.coreos.com/v1/PrometheusRule": _object(
        groups=_list(
            _object(
                "name rules",
                name=_TEXT,
                interval=_TEXT,
                rules=_list(
                    {
                        **_object(
                            "expr",
                            alert=_TEXT,
                            record=_TEXT,
                            expr=_TEXT,
                            **{"for": _TEXT, "keep_firing_for": _TEXT},
                            labels=_texts(),
                            annotations=_texts(),
                        ),
                        "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
                    }
                ),
            )
        )
    ),
    "gateway.networking.k8s.io/v1/HTTPRoute": _object(
        "parentRefs rules",
        parentRefs=_list(
            _object("name", name=_TEXT, namespace=_TEXT, sectionName=_TEXT, port=_WHOLE)
        ),
        hostnames=_list(_TEXT),
        rules=_list(
            _object(
                matches=_list(
                    _object(
                        method=_TEXT,
                        path=_object("type value", type={"enum": ["Exact"]}, value=_TEXT),
                    )
                ),
                backendRefs=_list(_object("name", name=_TEXT, port=_WHOLE)),
            )
        ),
    ),
}
"""Maps group, version and kind to the schema of `spec`."""
