# The page and the HTTP service on the CPU:
#   docker build -t spoken-digits . && docker run --rm -p 127.0.0.1:7860:7860 spoken-digits
# Some 3 GB: a quarter of it is torch without CUDA, a sixth what FFmpeg brings along.
FROM python:3.11-slim

# The CPU builds of torch leave gigabytes of CUDA libraries out.
ENV PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PYTHONUNBUFFERED=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg libportaudio2 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY . .
RUN pip install --editable '.[app]' && useradd --create-home digits
USER digits
EXPOSE 7860
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health')"]
ENTRYPOINT ["python", "-m", "inference.app", "--host", "0.0.0.0"]
