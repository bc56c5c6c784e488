using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Pretrained.Tests;

/// <summary>Encoders of the packages' models, and how near vectors are to others.</summary>
internal static class EncoderModels
{
    /// <summary>A model whose matrices are stored as asked, its words exactly.</summary>
    public static SentenceEncoder Load(string onnx, RbeFormat? format)
    {
        if (format is null) return ModelSource.LoadEncoder(onnx);
        using OnnxModelFile file = OnnxModelFile.Open(onnx);
        TransformerWeights weights = file.ReadWeights(new RbeOptions { Format = format });
        return new SentenceEncoder(new ModelBundle(new TransformerModel<float>(weights), file.Tokenizer));
    }

    /// <summary>Mean of the cosines of unit vectors.</summary>
    public static double MeanCosine(float[][] a, float[][] b) => a.Zip(b, (x, y) => x.Zip(y, (p, q) => (double)p * q).Sum()).Average();

    /// <summary>The largest difference of two numbers.</summary>
    public static double LargestDifference(float[][] a, float[][] b) =>
        a.Zip(b, (x, y) => x.Zip(y, (p, q) => Math.Abs((double)p - q)).Max()).Max();
}
