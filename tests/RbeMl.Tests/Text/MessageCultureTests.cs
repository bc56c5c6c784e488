using System.Globalization;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Tests.Support;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Text;

/// <summary>Messages read the same wherever the host is at home.</summary>
public sealed class MessageCultureTests
{
    private static readonly Dictionary<string, Action> Failures = new()
    {
        ["setting, decimal"] = () => TokenDataset.TailStart(10, -1.5),
        ["setting, value"] = () => throw new InvalidSettingException("x", -1234.5f, "use a number above 0."),
        ["setting, null"] = () => throw new InvalidSettingException("x", null, "give one."),
        ["token"] = () => new ByteTokenizer().Bytes(-7),
        ["token in a list"] = () => TokenDataset.FromStream([1, -5, 2], 4, 1),
        ["sequence"] = () => EvaluationData.FromSequences([[1]]),
        ["shape"] = () => RbeDenseTensor.From("x", "I64", [-2, 3], new byte[16]),
        ["shape of weights"] = () => RbeCompressor.Compress(new float[5], -3, 2, new RbeOptions()),
        ["not finite"] = () => RbeCompressor.Compress([1, float.NaN, float.NegativeInfinity, 2], 2, 2, new RbeOptions()),
        ["file"] = () => TextFile.Decode([65, 0xFF], "x"),
        ["range"] = () => throw new WeightRangeException("m", 1.5e-9, -2.5e9, RbeFormat.Quantized(4)),
        ["defect"] = () => throw new CodecDefectException("m", 0.25, -1.5, 0.125),
        ["target"] = () => throw new UnreachableTargetException("x", -0.5, "Ask for less."),
        ["memory"] = () => throw new MemoryLimitException(-(5L << 20), 3L << 30, "weights"),
    };

    public static TheoryData<string, string> Cases
    {
        get
        {
            TheoryData<string, string> cases = [];
            foreach (string culture in new[] { "de-DE", "ar-SA", "fa-IR" })
            {
                foreach (string failure in Failures.Keys) cases.Add(culture, failure);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Numbers_in_messages_are_the_same_in_every_country(string culture, string failure)
    {
        string expected = Message(CultureInfo.InvariantCulture, failure);
        Assert.NotEmpty(expected);
        Assert.Equal(expected, Message(Cultures.Like(culture), failure));
    }

    [Fact]
    public void A_negative_decimal_is_written_with_a_point_and_a_hyphen()
        => Assert.StartsWith("validationFraction = -1.5: ", Message(Cultures.Like("fa-IR"), "setting, decimal"));

    private static string Message(CultureInfo culture, string failure)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = culture;
            return Assert.ThrowsAny<RbeException>(Failures[failure]).Message;
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
