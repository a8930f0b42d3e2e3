"""The /generate service: text in, text out, over any engine. Needs the engine, numpy, tokenizers, FastAPI, uvicorn
and prometheus_client, nothing else of tokgate's requirements: it runs in whatever environment holds the engine.
"""
