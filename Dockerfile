# The page and the HTTP service, without torch:
#   docker build -t spoken-digits . && docker run --rm -p 127.0.0.1:7860:7860 spoken-digits
# No package of the system is needed: the wheel of av holds FFmpeg, and a browser brings the microphone.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
# Mounted, not copied: the image holds what is installed, once.
RUN --mount=target=/source,rw pip install "/source[app]" && useradd --create-home digits
USER digits
WORKDIR /home/digits
EXPOSE 7860
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health')"]
ENTRYPOINT ["spoken-digits", "serve", "--host", "0.0.0.0"]
