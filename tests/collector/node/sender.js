// What a program in Node.js has to do to be traced: nothing about where it runs, which the environment says.
const { context, SpanKind, SpanStatusCode, trace } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

const form = process.argv[2];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${form}`);

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const tracer = trace.getTracer("sender");
const parent = tracer.startSpan("GET /pictures/{name}", { kind: SpanKind.SERVER });
const child = tracer.startSpan(
  "resize",
  { attributes: { "picture.name": "lamp", sizes: [1, 2], sharp: true, quality: 0.5 } },
  trace.setSpan(context.active(), parent),
);
child.addEvent("began", { worker: 3 });
child.recordException(new Error("no memory"));
child.setStatus({ code: SpanStatusCode.ERROR, message: "no memory" });
child.end();
parent.end();
provider.shutdown().then(() => console.log(parent.spanContext().traceId));
