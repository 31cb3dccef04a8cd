"""The page of `smoke-vq demo` as a Space of the Hugging Face Hub."""

from smoke_vq.demo.explorer import Explorer
from smoke_vq.demo.page import build_page, launch

demo = build_page(Explorer.from_pretrained())

if __name__ == "__main__":
    launch(demo, max_file_size="200mb")
