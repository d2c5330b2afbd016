/** GLSL of the view: the mask from its planes, and what is drawn where the sky is. */

export const VERTEX = `#version 300 es
out vec2 uv; // (0, 0) is the image's upper left corner
uniform bool mirrored;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
  uv = vec2(mirrored ? 1.0 - corner.x : corner.x, 1.0 - corner.y);
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler2D;
in vec2 uv;
out vec4 color;
uniform sampler2D image;
uniform sampler2D planes; // A and b: p = A . I + b
uniform int sky;          // 0 tint, 1 clear, 2 sunset, 3 stars, 4 cut out
uniform float opacity, threshold, split, horizon, aspect;
uniform bool mirrored;

vec4 planesAt(vec2 at) { // bilinear by hand: float textures are not filtered everywhere
  ivec2 size = textureSize(planes, 0);
  vec2 p = clamp(at * vec2(size) - 0.5, vec2(0.0), vec2(size - 1));
  ivec2 low = ivec2(p);
  ivec2 high = min(low + 1, size - 1);
  vec2 share = p - vec2(low);
  vec4 above = mix(texelFetch(planes, low, 0), texelFetch(planes, ivec2(high.x, low.y), 0), share.x);
  vec4 below = mix(texelFetch(planes, ivec2(low.x, high.y), 0), texelFetch(planes, high, 0), share.x);
  return mix(above, below, share.y);
}

float random(vec2 cell) { return fract(sin(dot(cell, vec2(12.9898, 78.233))) * 43758.5453); }

float noise(vec2 at) {
  vec2 cell = floor(at), f = fract(at);
  f = f * f * (3.0 - 2.0 * f);
  return mix(mix(random(cell), random(cell + vec2(1, 0)), f.x), mix(random(cell + vec2(0, 1)), random(cell + vec2(1, 1)), f.x), f.y);
}

vec3 clearSky(vec2 at, float height) {
  vec3 blue = mix(vec3(0.13, 0.38, 0.78), vec3(0.72, 0.86, 0.96), pow(height, 1.4));
  float glow = exp(-5.0 * distance(at, vec2(0.78 * aspect, 0.05)));
  return blue + glow * vec3(0.35, 0.30, 0.18);
}

vec3 sunsetSky(vec2 at, float height) {
  vec3 low = mix(vec3(0.80, 0.36, 0.42), vec3(1.0, 0.74, 0.42), smoothstep(0.55, 1.0, height));
  vec3 base = mix(vec3(0.17, 0.18, 0.42), low, smoothstep(0.0, 0.75, height));
  float band = noise(vec2(at.x * 2.0, height * 14.0)) * noise(vec2(at.x * 5.0 + 7.0, height * 26.0));
  base += band * 0.35 * vec3(0.9, 0.35, 0.25) * smoothstep(0.1, 0.8, height);
  float sun = exp(-6.0 * distance(at, vec2(0.68 * aspect, horizon * 0.92)));
  return base + sun * vec3(0.9, 0.55, 0.2);
}

vec3 starrySky(vec2 at, float height) {
  vec3 base = mix(vec3(0.012, 0.018, 0.055), vec3(0.07, 0.11, 0.24), height * height);
  float along = at.x * 0.6 - at.y + 0.15;
  float way = exp(-14.0 * along * along) * (0.35 + 0.65 * noise(at * 9.0)) * noise(at * 23.0 + 3.0);
  base += way * vec3(0.20, 0.20, 0.28);
  for (int layer = 0; layer < 3; layer++) {
    float scale = 70.0 + 55.0 * float(layer);
    vec2 cell = floor(at * scale), inside = fract(at * scale) - 0.5;
    float chance = random(cell + float(layer) * 17.0);
    vec2 offset = vec2(random(cell + 3.1), random(cell + 7.7)) - 0.5;
    float size = 0.05 + 0.14 * random(cell + 1.3);
    float light = smoothstep(size, 0.0, length(inside - offset * 0.6)) * step(0.93 - way * 0.2, chance);
    base += light * mix(vec3(0.75, 0.85, 1.0), vec3(1.0, 0.9, 0.75), random(cell)) * (1.0 - 0.6 * height);
  }
  return base;
}

void main() {
  vec3 rgb = texture(image, uv).rgb;
  float shown = mirrored ? 1.0 - uv.x : uv.x;
  color = vec4(rgb, 1.0);
  if (shown < split) return;
  vec4 plane = planesAt(uv);
  float p = clamp(dot(plane.rgb, rgb) + plane.a, 0.0, 1.0);
  vec2 at = vec2(shown * aspect, uv.y);
  float height = clamp(uv.y / horizon, 0.0, 1.0);
  if (sky == 0) {
    float inside = smoothstep(threshold - 0.04, threshold + 0.04, p);
    float edge = inside * (1.0 - inside) * 4.0;
    vec3 tint = mix(vec3(0.95, 0.12, 0.62), vec3(1.0, 0.50, 0.30), height);
    float light = dot(rgb, vec3(0.3, 0.59, 0.11));
    vec3 tinted = mix(tint, tint * (0.55 + 0.75 * light), 0.5);
    color.rgb = mix(rgb, mix(tinted, vec3(1.0), edge * 0.7), max(inside, edge) * opacity);
    return;
  }
  float matte = smoothstep(threshold - 0.3, threshold + 0.15, p);
  if (sky == 4) {
    color = vec4(rgb, 1.0) * (1.0 - matte * opacity); // premultiplied
    return;
  }
  vec3 drawn = sky == 1 ? clearSky(at, height) : sky == 2 ? sunsetSky(at, height) : starrySky(at, height);
  vec3 light = sky == 1 ? vec3(1.0) : sky == 2 ? vec3(1.0, 0.80, 0.68) * 0.94 : vec3(0.26, 0.32, 0.48);
  vec3 ground = mix(rgb, rgb * light, opacity);
  color.rgb = mix(ground, drawn, matte * opacity);
}`;
