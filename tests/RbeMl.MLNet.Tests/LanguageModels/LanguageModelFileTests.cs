using Microsoft.ML;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.LanguageModels;

namespace RbeMl.MLNet.Tests.LanguageModels;

public sealed class LanguageModelFileTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void ItComesBackAsItWas()
    {
        IDataView data = Verses.View(_ml);
        LanguageModelTransformer model = Verses.Fit(_ml, data, o => (o.Steps, o.TopK, o.TopP, o.Temperature, o.ValidationFraction) = (3, 7, 0.9, 1.5, 0.2));
        LanguageModelTransformer loaded = new MLContext(9).Rbe.LoadLanguageModel(new MemoryStream(Bytes(model)));
        Assert.Equal(model.Perplexities(data), loaded.Perplexities(data));
        Assert.Equal(model.Texts(data), loaded.Texts(data));
        Assert.Equal(model.Summary.Epochs, loaded.Summary.Epochs);
        Assert.Equal(model.Settings, loaded.Settings);
        Assert.Equal(Bytes(model), Bytes(loaded));
    }

    [Fact]
    public void DamagedCutAndNewerFilesAreRefused()
    {
        byte[] bytes = Bytes(Verses.Fit(_ml, Verses.View(_ml), o => o.Steps = 1));
        Random random = new(5);
        for (int i = 0; i < 30; i++)
        {
            byte[] damaged = [.. bytes];
            damaged[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadLanguageModel(new MemoryStream(damaged)));
            Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadLanguageModel(new MemoryStream(bytes[..random.Next(bytes.Length)])));
        }

        bytes[8] = 9;
        Assert.Contains("version 9", Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadLanguageModel(new MemoryStream(bytes))).Message);
        Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(Bytes(Verses.Fit(_ml, Verses.View(_ml), o => o.Steps = 1)))));
    }

    [Fact]
    public void ValuesThatCannotBeAreRefusedThoughTheChecksumsAgree()
    {
        LanguageModelTransformer model = Verses.Fit(_ml, Verses.View(_ml), o => o.Steps = 1);
        byte[] inner = ComponentFile.Read(new MemoryStream(Bytes(model)), LanguageModelTransformer.Name, reader =>
        {
            using MemoryStream all = new();
            reader.BaseStream.CopyTo(all);
            return all.ToArray();
        });
        Assert.Equal(Bytes(model), Wrap(inner));

        // Behind the name of the last column: context, new tokens, temperature, top k, top p.
        int context = inner.AsSpan().IndexOf("GeneratedText"u8) + "GeneratedText".Length;
        Assert.Equal(Verses.Context, BitConverter.ToInt32(inner, context));
        foreach (int bad in (int[])[0, 1, 17, -1, int.MaxValue]) Refused(context, BitConverter.GetBytes(bad));
        foreach (int bad in (int[])[0, -1]) Refused(context + 4, BitConverter.GetBytes(bad));
        foreach (double bad in (double[])[-1, double.NaN, double.PositiveInfinity]) Refused(context + 8, BitConverter.GetBytes(bad));
        Refused(context + 16, BitConverter.GetBytes(-1));
        Refused(context + 20, BitConverter.GetBytes(0.0));

        void Refused(int place, byte[] bytes)
        {
            byte[] changed = [.. inner];
            bytes.CopyTo(changed, place);
            Assert.ThrowsAny<RbeException>(() => _ml.Rbe.LoadLanguageModel(new MemoryStream(Wrap(changed))));
        }
    }

    private static byte[] Bytes(LanguageModelTransformer model)
    {
        using MemoryStream stream = new();
        model.Save(stream);
        return stream.ToArray();
    }

    private static byte[] Wrap(byte[] inner)
    {
        using MemoryStream stream = new();
        ComponentFile.Write(stream, LanguageModelTransformer.Name, writer => writer.Write(inner));
        return stream.ToArray();
    }
}
