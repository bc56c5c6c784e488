using RbeMl.Files;
using RbeMl.Layers;

namespace RbeMl.Benchmarks.Codec;

/// <summary>Blocks under GPT-2's names, whose matrices are stored [in, out], query, key and value side by side.</summary>
internal static class HuggingFaceBlock
{
    /// <summary>All of a block.</summary>
    public static DenseBlockWeights Whole(SafetensorsFile file, string prefix, TransformerConfig config)
    {
        int d = config.Width, f = config.HiddenWidth;
        BlockVectors vectors = BlockVectors.Initial(d, f) with
        {
            Gamma2 = Read(file, $"{prefix}ln_2.weight", d),
            Beta2 = Read(file, $"{prefix}ln_2.bias", d),
            UpProjectionBias = Read(file, $"{prefix}mlp.c_fc.bias", f),
            DownProjectionBias = Read(file, $"{prefix}mlp.c_proj.bias", d),
        };
        return Attention(file, prefix, d, vectors) with
        {
            UpProjection = Columns(Read(file, $"{prefix}mlp.c_fc.weight", d * f), f, 0, f),
            DownProjection = Columns(Read(file, $"{prefix}mlp.c_proj.weight", f * d), d, 0, d),
        };
    }

    /// <summary>The attention half and its LayerNorm; the other half is what <paramref name="vectors"/> say, and no matrices.</summary>
    public static DenseBlockWeights Attention(SafetensorsFile file, string prefix, int d, BlockVectors vectors)
    {
        float[] weight = Read(file, $"{prefix}attn.c_attn.weight", 3 * d * d), bias = Read(file, $"{prefix}attn.c_attn.bias", 3 * d);
        return new DenseBlockWeights
        {
            Query = Columns(weight, 3 * d, 0, d),
            Key = Columns(weight, 3 * d, d, d),
            Value = Columns(weight, 3 * d, 2 * d, d),
            Output = Columns(Read(file, $"{prefix}attn.c_proj.weight", d * d), d, 0, d),
            UpProjection = [],
            DownProjection = [],
            Vectors = vectors with
            {
                QueryBias = bias[..d],
                KeyBias = bias[d..(2 * d)],
                ValueBias = bias[(2 * d)..],
                OutputBias = Read(file, $"{prefix}attn.c_proj.bias", d),
                Gamma1 = Read(file, $"{prefix}ln_1.weight", d),
                Beta1 = Read(file, $"{prefix}ln_1.bias", d),
            },
        };
    }

    // [in, stride] -> [count, in] of columns first .. first + count.
    private static float[] Columns(float[] values, int stride, int first, int count)
    {
        int inputs = values.Length / stride;
        float[] result = new float[count * inputs];
        for (int o = 0; o < count; o++)
        {
            for (int i = 0; i < inputs; i++) result[o * inputs + i] = values[i * stride + first + o];
        }

        return result;
    }

    private static float[] Read(SafetensorsFile file, string name, int count)
    {
        float[] values = file.ReadFloats(name);
        return values.Length == count ? values : throw new InvalidDataException($"{file.Path}: {name} has {values.Length} values, {count} were expected.");
    }
}
