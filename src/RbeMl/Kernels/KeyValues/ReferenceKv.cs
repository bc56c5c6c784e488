namespace RbeMl.Kernels;

/// <summary>Plain storing of keys or values in a compressed format: the same bits as the fast <see cref="KvKernel"/>.</summary>
internal static unsafe class ReferenceKv
{
    /// <inheritdoc cref="KvKernel.Store"/>
    public static bool Store(in KvRows rows, int position, float* x, int features, int width, int lane, int count)
    {
        for (int i = 0; i < count; i++)
        {
            float max = 0;
            for (int f = 0; f < features; f++)
            {
                float value = x[((long)f * width) + lane + i];
                if (!float.IsFinite(value) || (rows.Format == KvFormat.F16 && !Half.IsFinite((Half)value))) return false;
                max = Math.Max(max, Math.Abs(value));
            }

            // An inverse of less would not be a float.
            bool negligible = max < 1e-30f;
            if (rows.Format == KvFormat.Int8) ((float*)rows.Scales)[position + i] = negligible ? 0 : max / 127;
            for (int f = 0; f < features; f++)
            {
                float value = x[((long)f * width) + lane + i];
                long index = ((long)f * rows.Stride) + position + i;
                if (rows.Format == KvFormat.F16) ((Half*)rows.Codes)[index] = (Half)value;
                else ((sbyte*)rows.Codes)[index] = negligible ? (sbyte)0 : (sbyte)MathF.Round(value * (127 / max));
            }
        }

        return true;
    }
}
