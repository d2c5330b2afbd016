/** GLSL of the view: the mask from its planes, and what is put where the sky is. */

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
uniform sampler2D above;  // the other sky
uniform int sky;          // 0 tint, 1 another sky, 2 cut out
uniform float opacity, threshold, split, horizon;
uniform vec2 cover;       // shares of the other sky that are seen: it covers everything above the horizon, without distortion
uniform vec3 light;       // of the other sky on the ground
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

void main() {
  vec3 rgb = texture(image, uv).rgb;
  float shown = mirrored ? 1.0 - uv.x : uv.x;
  color = vec4(rgb, 1.0);
  if (shown < split) return;
  vec4 plane = planesAt(uv);
  float p = clamp(dot(plane.rgb, rgb) + plane.a, 0.0, 1.0);
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
  if (sky == 2) {
    color = vec4(rgb, 1.0) * (1.0 - matte * opacity); // premultiplied
    return;
  }
  float down = uv.y / horizon;
  vec2 at = vec2(0.5 + (shown - 0.5) * cover.x, 1.0 - abs(1.0 - down) * cover.y); // what hangs below the horizon is mirrored
  vec3 ground = mix(rgb, rgb * light, opacity);
  color.rgb = mix(ground, texture(above, at).rgb, matte * opacity);
}`;
