"""nginx as the data server and the WebDAV door of the embedded gateway's folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from string import Template

MODULES = Path("/usr/lib/nginx/modules")
NEEDED = ("ndk_http_module.so", "ngx_http_lua_module.so", "ngx_http_dav_ext_module.so")  # in this order
START_SECONDS = 20

# 201 and 204 become 200, which is what Reva's data server answers; a file that is moved is told as new, which
# it is where we move one, and Rucio's plugin fails otherwise. A resource id of the gateway leads to a path again.
CONFIG = Template("""
$modules
daemon off; master_process off; pid $folder/nginx.pid; error_log $folder/nginx.log warn;
events { worker_connections 1024; }
http {
  access_log off; default_type application/octet-stream;
  sendfile on; sendfile_max_chunk 2m; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 600;
  client_max_body_size 0; client_body_buffer_size 1m; client_body_temp_path $folder/bodies;
  server {
    listen $address$ssl;
    $certificate
    location /data/simple/ {
      alias $root/; dav_methods PUT;
      header_filter_by_lua_block {
        if ngx.status == 201 or ngx.status == 204 then ngx.status = 200; ngx.header["Content-Length"] = 0 end
      }
    }
    location /data/spaces/ {
      rewrite_by_lua_block {
        local path = ngx.unescape_uri(ngx.var.uri:match("^/data/spaces/[^/]-fileid%-(.*)$$"))
        ngx.req.set_uri("/data/simple" .. path, true)
      }
    }
    location /dav/ {
      alias $root/; autoindex on; dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS;
      header_filter_by_lua_block {
        if ngx.req.get_method() == "MOVE" and ngx.status == 204 then
          ngx.status = 201; ngx.header["Content-Length"] = 0
        end
      }
    }
  }
}
""")


def missing() -> str | None:
    """Why it cannot be used."""
    if not shutil.which("nginx", path=_path()):
        return "nginx is not installed: apt-get install nginx-light"
    lacking = [name for name in NEEDED if not (MODULES / name).exists()]
    packages = "libnginx-mod-http-lua libnginx-mod-http-dav-ext"
    return f"nginx lacks {', '.join(lacking)}: apt-get install {packages}" if lacking else None


def command(folder: Path, root: Path, address: str, tls: dict[str, Path] | None) -> list[str]:
    certificate = f"ssl_certificate {tls['cert']}; ssl_certificate_key {tls['key']};" if tls else ""
    config = folder / "nginx.conf"
    modules = "\n".join(f"load_module {MODULES / name};" for name in NEEDED)
    values = {"modules": modules, "folder": folder, "root": root, "address": address}
    config.write_text(CONFIG.substitute(values, ssl=" ssl" if tls else "", certificate=certificate), encoding="utf-8")
    return [shutil.which("nginx", path=_path()) or "nginx", "-p", str(folder), "-c", str(config)]


def wait(server: subprocess.Popen, host: str, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("nginx did not start") from None
            time.sleep(0.02)  # a port has no event to wait for
        else:
            return


def version() -> str:
    program = shutil.which("nginx", path=_path()) or "nginx"
    return subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.split(": ")[-1].strip()


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
